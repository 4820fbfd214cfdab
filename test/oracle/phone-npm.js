// test/oracle/phone-npm.js DIRECTORY DIGITS MESSY: compares the lines of phone_lines on standard
// input with the npm package google-libphonenumber that was unpacked into DIRECTORY, until
// DIGITS digit strings and MESSY messy strings have been compared.
//
// The JavaScript of libphonenumber reads some texts otherwise than its C++ and Java, which
// src/core follows.  Texts in which that can happen are counted and not compared; the reasons
// are below.
'use strict';

const path = require('path');
const readline = require('readline');
const lib = require(path.resolve(process.argv[2]));
const util = lib.PhoneNumberUtil.getInstance();
const wanted = { digits: Number(process.argv[3]), messy: Number(process.argv[4]) };
const types = {};

for (const name of Object.keys(lib.PhoneNumberType))
	types[lib.PhoneNumberType[name]] = name.toLowerCase();
const classes = {};
for (const name of Object.keys(lib.PhoneNumberUtil.ValidationResult))
	classes[lib.PhoneNumberUtil.ValidationResult[name]] =
		name.toLowerCase().replace(/^is_/, '').replace('possible_local_only', 'local_only');

const reasons = [
	['not UTF-8', (text, bytes) => !Buffer.from(text, 'utf8').equals(bytes)],
	['control characters and line ends', text => /[\x00-\x08\n-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]/.test(text)],
	['digits of a script that JavaScript does not know',
		text => /(?![0-9\uff10-\uff19\u0660-\u0669\u06f0-\u06f9])\p{Nd}/u.test(text)],
	['other digits than ASCII beside letters', text => (text.match(/[A-Za-z]/g) || []).length >= 3 &&
		/[\uff10-\uff19\u0660-\u0669\u06f0-\u06f9]/.test(text)],
	['a letter beyond ASCII at the end', text => /[\p{L}\p{N}]/u.test(
		text.match(/[^0-9A-Za-z#\uff10-\uff19\u0660-\u0669\u06f0-\u06f9]*$/)[0])],
	['the long s and the sign of Kelvin, which are letters to C++', text => /[\u017f\u212a]/.test(text)],
	['the full-width tilde', text => text.includes('\uff5e')],
	['two marks of a second number', text => (text.match(/[\\/] *x/g) || []).length > 1],
	['a number beyond 2^53, which JavaScript rounds', (text, bytes, national) => national > 9007199254740992n],
];

function theirs(text, region)
{
	try
	{
		const number = util.parse(text, region);
		const extension = (number.getExtension() || '').replace(/[^0-9]/g, c =>
			String.fromCharCode(48 + (c.charCodeAt(0) - (c >= '\uff10' ? 0xff10 :
				c >= '\u06f0' ? 0x6f0 : 0x660))));

		return [util.format(number, lib.PhoneNumberFormat.E164),
			classes[util.isPossibleNumberWithReason(number)],
			util.getRegionCodeForNumber(number) || '', types[util.getNumberType(number)], extension].join('\t');
	}
	catch (error)
	{
		return '-';
	}
}

const compared = { digits: 0, messy: 0 };
const different = { digits: 0, messy: 0 };
const skipped = {};

readline.createInterface({ input: process.stdin }).on('line', line =>
{
	const [what, region, hex, ...result] = line.split('\t');
	const bytes = Buffer.from(hex, 'hex');
	const text = bytes.toString('utf8');
	const national = BigInt(/^\+\d+$/.test(result[0]) ? result[0].slice(2) : 0);

	if (compared[what] >= wanted[what])
		return;
	for (const [reason, applies] of reasons)
	{
		if (applies(text, bytes, national))
		{
			skipped[reason] = (skipped[reason] || 0) + 1;
			return;
		}
	}
	compared[what]++;
	const got = result.join('\t');
	const expected = theirs(text, region);
	if (got !== expected && ++different[what] <= 20)
		console.log(`${region} ${JSON.stringify(text)}\n  got      ${got}\n  expected ${expected}`);
}).on('close', () =>
{
	for (const reason of Object.keys(skipped).sort())
		console.log(`not compared, ${reason}: ${skipped[reason]}`);
	for (const what of ['digits', 'messy'])
		console.log(`${what}: ${compared[what]} compared, ${different[what]} different`);
	if (compared.digits < wanted.digits || compared.messy < wanted.messy || different.digits > 0 ||
		 different.messy * 10000 > compared.messy)
		process.exitCode = 1;
});
