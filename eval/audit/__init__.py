"""May this checkpoint leave the hospital, and may that one enter it? Membership, canaries, backdoors, one card."""
