"""Read the template values of each page (one module per page), and render templates."""
