terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # the first with invoked_via_function_url
      version = ">= 6.29"
    }
  }
}
