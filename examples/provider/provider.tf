terraform {
  required_providers {
    cutover = {
      source = "cutover-dev/cutover"
    }
  }
}

provider "cutover" {
  hosts = {
    # ~/.ssh/config, the SSH agent and ~/.ssh/known_hosts apply.
    old = { address = "old.example.net" }

    # A login other than root, a key of its own, and the host's key pinned.
    new = {
      address          = "198.51.100.7"
      user             = "admin"
      private_key_path = "~/.ssh/cutover"
      host_key         = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqcwv4lmA2qNvXnaO0jaKvF2nVuEErmvhS09vWWv0jO"]
      become           = { method = "sudo" }
      bastions         = ["gate"]
    }

    gate = { address = "gate.example.net", user = "admin" }
  }
}
