"""The command line: one verb, one small file; each is imported when it is used."""
