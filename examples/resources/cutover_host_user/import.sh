# HOST/NAME
terraform import 'cutover_host_user.people["anna"]' new/anna
