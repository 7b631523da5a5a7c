"""What a Service must look like. Source: pkg/apis/core/validation/validation.go, ValidateService."""
