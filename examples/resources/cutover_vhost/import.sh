# HOST/SERVER/FILE, the file without .conf
terraform import cutover_vhost.shop new/apache/shop.example.com
