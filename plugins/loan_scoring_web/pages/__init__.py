"""Read the template values of the pages, draw their plots, and render their templates."""
