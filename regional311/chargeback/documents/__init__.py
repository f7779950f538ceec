"""A statement on paper and in files: PDF, XLSX, CSV, JSON, made of its frozen rows."""
