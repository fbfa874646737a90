// Requests from this page carry the browser's session, so they need the header that other sites can't send.
window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger",
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.headers["X-NeckFrac"] = "1";
    return request;
  },
});
