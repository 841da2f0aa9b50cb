# HOST/NAME
terraform import cutover_login_lock.old old/login
