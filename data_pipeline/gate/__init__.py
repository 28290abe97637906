"""The gate: reads the finished text again, holds back what still names someone, and attests what was checked."""
