// Shows the OpenAPI document in Swagger UI. Calls are made with the cookie of the login.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const place = document.getElementById("swagger");
  const dark = document.documentElement.dataset.theme === "dark";
  document.documentElement.classList.toggle("dark-mode", dark);
  SwaggerUIBundle({ url: place.dataset.document, domNode: place, defaultModelsExpandDepth: 0, validatorUrl: null });
});
