variable "name" {
  description = "The function's name; its role and log group are named after it."
  type        = string
}

variable "package" {
  description = "The zip of the function's folder."
  type        = string
}

variable "package_hash" {
  description = "The zip's SHA-256 in base64. Null: it is computed from the file, which has to be there before the plan."
  type        = string
  default     = null
}

variable "layer_arn" {
  description = "The version of an existing base layer. Null: the layer is published from layer_zip."
  type        = string
  default     = null
}

variable "layer_zip" {
  description = "The base layer's zip, such as dist/php-8.4-x86_64.zip."
  type        = string
  default     = null
}

variable "more_layer_arns" {
  description = "Versions of further layers, such as the extensions layer."
  type        = list(string)
  default     = []
}

variable "architecture" {
  description = "The layer's architecture."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "Lambda has x86_64 and arm64."
  }
}

variable "handler" {
  description = "The PHP file that answers, below the function's folder."
  type        = string
  default     = "index.php"
}

variable "memory" {
  description = "Memory in MB. CPU comes with it: 1,769 MB are one whole core."
  type        = number
  default     = 1024
}

variable "timeout" {
  description = "Seconds. The runtime stops a script half a second before."
  type        = number
  default     = 28
}

variable "environment" {
  description = "Environment variables."
  type        = map(string)
  default     = {}
}

variable "function_url" {
  description = "Whether the function gets a public URL. China's regions have none."
  type        = bool
  default     = true
}

variable "log_retention" {
  description = "Days after which log lines are deleted."
  type        = number
  default     = 14
}
