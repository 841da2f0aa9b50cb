# FROM/TO
terraform import cutover_mail_queue_move.mail old/new
