"""Working requests together: tags, saved views, changes of many at once and their undoing."""
