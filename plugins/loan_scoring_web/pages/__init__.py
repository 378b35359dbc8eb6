"""Read the values that each page shows (one module per page), and render templates."""
