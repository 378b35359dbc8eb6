"""Define the routes of the web app. A route checks rights, reads values and returns a response."""
