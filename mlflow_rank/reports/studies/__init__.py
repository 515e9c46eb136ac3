"""What people see of studies: sentences, tables, figures, one page."""
