"""One file per suite: what is asked, how it is scored, which tables come out."""
