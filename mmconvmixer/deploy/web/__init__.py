"""What a page that classifies images in the browser is made of."""
