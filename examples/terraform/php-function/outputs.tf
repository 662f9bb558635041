output "url" {
  description = "The function's URL; null without one."
  value       = one(aws_lambda_function_url.public[*].function_url)
}

output "function_arn" {
  description = "The function's ARN."
  value       = aws_lambda_function.function.arn
}

output "role_name" {
  description = "The role, to attach further policies to."
  value       = aws_iam_role.function.name
}
