# HOST/NAME
terraform import 'cutover_service.old["sendmail"]' old/sendmail
