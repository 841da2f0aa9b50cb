resource "cutover_home_skeleton" "anna" {
  host = "new"
  user = "anna"

  directories = {
    "mail"        = { mode = "0700" }
    "public_html" = {}
  }

  # Only where there is none yet.
  files = {
    "public_html/index.html" = { content = "<title>Soon</title>\n" }
  }
}
