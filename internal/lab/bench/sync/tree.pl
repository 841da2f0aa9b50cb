# Makes trees on the old host, and changes in them. perl is part of every Debian.
#
#   mail ROOT USERS MAILS BYTES   Maildirs of that many users, each with so many
#                                 mails of so many bytes on average: text, and
#                                 in larger ones attachments in base64. Below
#                                 2000 bytes all are of one size
#   large ROOT FILES BYTES        files that do not compress
#   folder ROOT FILES BYTES       one directory of so many files of so many bytes
#   append ROOT BYTES             bytes at the end of the first file of "large"
#   change-folder ROOT CHANGES TURN
#                                 of ten changes in a "folder" four files come, three
#                                 are renamed, two are deleted, one is written anew
#   change ROOT CHANGES TURN      what a quarter of an hour does to Maildirs: of
#                                 ten changes four mails come, three are read (and
#                                 so renamed), two are deleted, one is flagged.
#                                 Another TURN is other mails
use strict;
use warnings;

umask 022;
my @letters = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '+', '/');

sub random_lines {
	my ($count) = @_;
	return join '', map { join('', map { $letters[rand 64] } 1 .. 76) . "\n" } 1 .. $count;
}

my @words = map { join '', map { chr(97 + rand 26) } 1 .. 2 + rand 8 } 1 .. 2000;
my $text = '';
$text .= join(' ', map { $words[rand @words] } 1 .. 12) . "\n" while length $text < 200000;
my $attachment;

sub mail {
	my ($name, $user, $number, $size) = @_;
	my $body = "Return-Path: <sender$number\@elsewhere.test>\nSubject: Message $number for $user\n"
		. "Message-ID: <$number-$user\@elsewhere.test>\n\n";
	my $left = $size - length $body;
	if ($left > 4000) {
		$attachment //= random_lines(4000);
		$body .= substr $text, rand 100000, 2000;
		$left -= 2000;
		$body .= substr $attachment, rand 100000, $left > 200000 ? 200000 : $left;
	} elsif ($left > 0) {
		$body .= substr $text, rand 100000, $left;
	}
	open my $file, '>', $name or die "$name: $!";
	print $file $body or die "$name: $!";
	close $file or die "$name: $!";
}

sub make_mail {
	my ($root, $users, $mails, $bytes) = @_;
	mkdir $root or die "$root: $!";
	for my $n (0 .. $users - 1) {
		my $user = sprintf 'user%04d', $n;
		mkdir "$root/$user";
		mkdir "$root/$user/mail";
		mkdir "$root/$user/mail/$_" for qw(cur new tmp);
		for my $m (1 .. $mails) {
			my $name = sprintf '%d.M%dP42.old', 1236000000 + $m, $m * 17;
			$name = $m % 3 ? "cur/$name:2,S" : "new/$name";
			# Many small ones and some large ones.
			my $size = $bytes < 2000 ? $bytes : int(400 + rand()**3 * 4 * ($bytes - 400));
			mail("$root/$user/mail/$name", $user, $m, $size);
		}
	}
}

sub make_large {
	my ($root, $files, $bytes) = @_;
	mkdir $root or die "$root: $!";
	open my $random, '<', '/dev/urandom' or die $!;
	for my $n (1 .. $files) {
		open my $file, '>', "$root/archive$n.tar.gz" or die $!;
		my $left = $bytes;
		while ($left > 0) {
			my $got = read $random, my $block, $left > 1 << 20 ? 1 << 20 : $left;
			print $file $block or die $!;
			$left -= $got;
		}
		close $file or die $!;
	}
}

sub change {
	my ($root, $changes, $turn) = @_;
	my @users = sort glob "$root/user*";
	for my $n (0 .. $changes - 1) {
		my $mail = $users[($n * 7 + $turn) % @users] . '/mail';
		my $kind = $n % 10;
		if ($kind < 4) {
			mail("$mail/new/13$turn.M${n}P42.old", 'somebody', $n, 735);
			next;
		}
		my $from = $kind < 7 ? 'new' : 'cur';
		opendir my $directory, "$mail/$from" or die "$mail/$from: $!";
		my ($name) = grep { /^123/ && ($kind != 9 || /,S$/) } readdir $directory;
		closedir $directory;
		die "$mail/$from has no mails left to change\n" unless defined $name;
		if ($kind < 7) { rename "$mail/new/$name", "$mail/cur/$name:2,S" or die $! }
		elsif ($kind < 9) { unlink "$mail/cur/$name" or die $! }
		else { rename "$mail/cur/$name", "$mail/cur/${name}R" or die $! }
	}
}

sub make_folder {
	my ($root, $files, $bytes) = @_;
	mkdir $root or die "$root: $!";
	mail(sprintf("%s/%d.M%dP42.old", $root, 1236000000 + $_, $_ * 17), 'somebody', $_, $bytes) for 1 .. $files;
}

sub append {
	my ($root, $bytes) = @_;
	open my $file, '>>', "$root/archive1.tar.gz" or die $!;
	print $file random_lines($bytes / 77) or die $!;
	close $file or die $!;
}

sub change_folder {
	my ($root, $changes, $turn) = @_;
	for my $n (0 .. $changes - 1) {
		my $kind = $n % 10;
		my $number = ($turn * $changes + $n) * 3 + 1;
		my $name = sprintf '%s/%d.M%dP42.old', $root, 1236000000 + $number, $number * 17;
		if ($kind < 4) { mail("$root/13$turn.M${n}P42.old", 'somebody', $n, 735) }
		elsif ($kind < 7) { rename $name, "$name:2,S" or die "$name: $!" }
		elsif ($kind < 9) { unlink $name or die "$name: $!" }
		else { mail($name, 'somebody else', $n, 735) }
	}
}

my ($what, @arguments) = @ARGV;
srand($what =~ /^change/ ? $arguments[2] : 1);
my %does = (
	mail => \&make_mail, large => \&make_large, folder => \&make_folder,
	append => \&append, change => \&change, 'change-folder' => \&change_folder,
);
$does{$what}->(@arguments);
