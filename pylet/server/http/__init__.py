"""The API over HTTPS: what a request is about, who may, and the answer's form. Stored bytes pass as they are."""
