"""A module for each toolkit whose files heed-export reads, and importer.py, which is what they share."""
