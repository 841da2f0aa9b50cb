# Served over HTTP from a directory that is made if need be.
resource "cutover_vhost" "anna" {
  host                 = "new"
  server_name          = "anna.example.com"
  aliases              = ["www.anna.example.com"]
  document_root        = "/home/anna/public_html"
  create_document_root = true
}

# HTTPS with PHP, and HTTP that leads there.
resource "cutover_vhost" "shop" {
  host              = "new"
  server_name       = "shop.example.com"
  document_root     = "/srv/shop/htdocs"
  certificate       = "/etc/letsencrypt/live/shop.example.com/fullchain.pem"
  certificate_key   = "/etc/letsencrypt/live/shop.example.com/privkey.pem"
  redirect_to_https = true
  php_fpm_socket    = "/run/php/php-fpm.sock"
  access_log        = "/var/log/apache2/shop.access.log"
  extra             = <<-EOT
    # What has no attribute, in the server's own language.
    Header always set Strict-Transport-Security "max-age=31536000"
  EOT
}

# For whoever asks for a name that no other site has.
resource "cutover_vhost" "default" {
  host          = "new"
  name          = "default"
  priority      = 0
  document_root = "/var/www/html"
  adopt         = true # Debian has put one there
}
