# HOST/NAME
terraform import cutover_connection_hold.night old/cutover
