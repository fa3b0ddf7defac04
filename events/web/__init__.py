"""How services answer over HTTP, which is a convention of all of them: what is new (ETag), in which form, what was wrong."""
