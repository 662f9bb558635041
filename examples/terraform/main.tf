# Deploys examples/hello. The layer is one that `make publish` made:
#
#     terraform init
#     terraform apply -var layer_arn=arn:aws:lambda:…:layer:php-84-x86_64:1

terraform {
  required_version = ">= 1.5"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.4"
    }
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.29"
    }
  }
}

variable "layer_arn" {
  description = "The base layer's version. Null: the layer is published from dist/."
  type        = string
  default     = null
}

variable "architecture" {
  description = "x86_64 or arm64."
  type        = string
  default     = "x86_64"
}

data "archive_file" "hello" {
  type        = "zip"
  source_dir  = "${path.module}/../hello"
  output_path = "${path.module}/.terraform/hello.zip"
}

module "hello" {
  source = "./php-function"

  name         = "hello-php"
  package      = data.archive_file.hello.output_path
  package_hash = data.archive_file.hello.output_base64sha256
  layer_arn    = var.layer_arn
  layer_zip    = "${path.module}/../../dist/php-8.4-${var.architecture}.zip"
  architecture = var.architecture
}

output "url" {
  value = module.hello.url
}
