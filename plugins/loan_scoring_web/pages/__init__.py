"""What pages show: a module for each page reads its figures; templates render them."""
