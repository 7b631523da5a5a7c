"""The API over HTTPS: what a request is about, who may, and the answer's form. Objects are passed on as stored bytes."""
