# A PHP function on the php-fpm-lambda layer: role, log group, function and Function URL.

data "aws_partition" "current" {}

resource "aws_lambda_layer_version" "php" {
  count = var.layer_arn == null ? 1 : 0

  layer_name               = "${var.name}-php"
  filename                 = var.layer_zip
  source_code_hash         = try(filebase64sha256(var.layer_zip), null)
  compatible_architectures = [var.architecture]
  compatible_runtimes      = ["provided.al2023", "provided.al2"]

  lifecycle {
    precondition {
      condition     = var.layer_zip != null
      error_message = "Set layer_arn or layer_zip."
    }
  }
}

resource "aws_iam_role" "function" {
  name = var.name

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.function.name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_cloudwatch_log_group" "function" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention
}

resource "aws_lambda_function" "function" {
  function_name    = var.name
  role             = aws_iam_role.function.arn
  filename         = var.package
  source_code_hash = var.package_hash != null ? var.package_hash : filebase64sha256(var.package)
  runtime          = "provided.al2023"
  handler          = var.handler
  architectures    = [var.architecture]
  layers           = concat(var.layer_arn == null ? aws_lambda_layer_version.php[*].arn : [var.layer_arn], var.more_layer_arns)
  memory_size      = var.memory
  timeout          = var.timeout

  environment {
    variables = var.environment
  }

  depends_on = [aws_iam_role_policy_attachment.logs, aws_cloudwatch_log_group.function]
}

resource "aws_lambda_function_url" "public" {
  count = var.function_url ? 1 : 0

  function_name      = aws_lambda_function.function.function_name
  authorization_type = "NONE"
}

# A public URL needs both. Without the condition of the second, every AWS account could invoke the function with events of its own making.
resource "aws_lambda_permission" "url" {
  count = var.function_url ? 1 : 0

  statement_id           = "PublicUrl"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = aws_lambda_function.function.function_name
  principal              = "*"
  function_url_auth_type = "NONE"
}

resource "aws_lambda_permission" "invoke" {
  count = var.function_url ? 1 : 0

  statement_id             = "PublicUrlInvoke"
  action                   = "lambda:InvokeFunction"
  function_name            = aws_lambda_function.function.function_name
  principal                = "*"
  invoked_via_function_url = true
}
