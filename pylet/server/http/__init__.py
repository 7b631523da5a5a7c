"""The API over HTTPS: what a request is about, who may, and the answer's form. Stored bytes are passed on as they are."""
