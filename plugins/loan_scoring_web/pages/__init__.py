"""What pages show: a module a page that reads its figures, templates, and the files they load."""
