data "cutover_host_users" "old" {
  host = "old"
}

# Those who can log in with a password.
output "people" {
  value = [for name, user in data.cutover_host_users.old.users : name if user.password_state == "set"]
}
