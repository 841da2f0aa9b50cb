# HOST/NAME
terraform import cutover_maildir.new new/maildir
