"""Routes of the web app. Each route checks rights, reads values and returns a page or JSON."""
