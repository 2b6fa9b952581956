"""How the scoring log of PostgreSQL is kept: tables, ways in, writing, counting, clearing out."""
