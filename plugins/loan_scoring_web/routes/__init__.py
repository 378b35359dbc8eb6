"""Routes of the web app: each checks rights, reads a page's facts and renders them."""
