"""Models that papers and toolkits define whose files heed-export does not read: the caller gives their arrays."""
