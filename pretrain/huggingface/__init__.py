"""From a checkpoint of any layout to a folder that stock transformers loads offline."""
