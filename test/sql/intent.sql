-- What a text asks for.  A keyword counts as a whole message, whatever is around it.

-- the seven words of 47 CFR 64.1200(a)(10), the providers' and other languages'
SELECT body, i.label, i.rule
  FROM unnest(ARRAY['stop', 'quit', 'end', 'revoke', 'opt out', 'cancel', 'unsubscribe',
	'stopall', 'stop all', 'unsub', 'optout', 'opt-out', 'remove',
	'PARAR', 'DETENER', 'ALTO', 'BAJA', 'CANCELAR', 'ARRET', 'ARRÊT', 'ARRETEZ', 'SAIR',
	'start', 'unstop', 'subscribe', 'opt in', 'optin', 'resume', 'INICIO',
	'help', 'info', 'AIDE', 'AYUDA', 'AJUDA']) WITH ORDINALITY AS u (body, n),
	   omnimsg_detect_intent(body) i
 ORDER BY n;

-- written as people write
SELECT body, i.label, i.span_start, i.span_end
  FROM unnest(ARRAY['STOP', ' Stop. ', 'stop!!!', '"STOP"', 'Stop please', 'STOP, thank you', 'ＳＴＯＰ',
	'STOP 🛑', E'stop\n', E'\u200bstop', 'Please stop.', 'ARRÊT svp', 'S.T.O.P', 'stop stop stop',
	'START!', 'Help?']) WITH ORDINALITY AS u (body, n),
	   omnimsg_detect_intent(body) i
 ORDER BY n;

-- what must not be misread: neither opts out or in, but for the one that asks to stop
SELECT body, i.label IN ('opt_out', 'maybe_opt_out') AS stops, i.label = 'opt_in' AS starts
  FROM unnest(ARRAY['End of month works for me', 'YES I want you to stop', 'yes', 'Y', 'no',
	'I will start on Monday', 'cancel my appointment please', 'help me find the office',
	'nonstop', 'start stop', '', ' ', '🙂', 'résumé',
	'hello']) WITH ORDINALITY AS u (body, n),
	   omnimsg_detect_intent(body) i
 ORDER BY n;

-- a keyword in a long text, and 256 KiB of it, answer at once
SELECT length(body), i.label <> 'opt_in' AS no_opt_in
  FROM unnest(ARRAY[repeat('stop ', 52428), repeat('x', 262144), repeat('é', 131072)]) WITH ORDINALITY AS u (body, n),
	   omnimsg_detect_intent(body) i
 ORDER BY n;
SELECT omnimsg_detect_intent(NULL) IS NULL AS null_for_null;
