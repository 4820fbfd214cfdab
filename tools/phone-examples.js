#!/usr/bin/env node
// tools/phone-examples.js DIRECTORY: prints test/data/phone_examples.tsv by means of the npm
// package google-libphonenumber that was unpacked into DIRECTORY: every example number of
// every region and type in five written forms, and what the package makes of each.
'use strict';

const path = require('path');

if (process.argv.length !== 3 || process.argv[2] === '--help')
{
	console.log('usage: tools/phone-examples.js DIRECTORY >test/data/phone_examples.tsv: DIRECTORY is the unpacked npm package google-libphonenumber');
	process.exit(process.argv.length === 3 ? 0 : 1);
}

const lib = require(path.resolve(process.argv[2]));
const version = require(path.resolve(process.argv[2], 'package.json')).version;
const util = lib.PhoneNumberUtil.getInstance();
const Format = lib.PhoneNumberFormat;
const types = ['fixed_line', 'mobile', 'fixed_line_or_mobile', 'toll_free', 'premium_rate',
	'shared_cost', 'voip', 'personal_number', 'pager', 'uan', 'voicemail', 'unknown'];
// the numbers of the types in the order of the package
const typeNumbers = ['FIXED_LINE', 'MOBILE', 'FIXED_LINE_OR_MOBILE', 'TOLL_FREE', 'PREMIUM_RATE',
	'SHARED_COST', 'VOIP', 'PERSONAL_NUMBER', 'PAGER', 'UAN', 'VOICEMAIL'].map(
	name => lib.PhoneNumberType[name]);

function typeName(number)
{
	const at = typeNumbers.indexOf(util.getNumberType(number));

	return at < 0 ? 'unknown' : types[at];
}

const seen = new Set();

function print(number, region)
{
	const e164 = util.format(number, Format.E164);

	if (seen.has(region + e164))
		return;
	seen.add(region + e164);
	const forms = [e164, util.format(number, Format.INTERNATIONAL),
		util.format(number, Format.RFC3966), util.format(number, Format.NATIONAL),
		util.getNationalSignificantNumber(number)];

	forms.forEach((form, n) =>
	{
		// without a region only the international forms can be read
		if (region === '001' && n >= 3)
			return;
		const back = util.parse(form, region);
		// +1 310-1234 is valid in Canada, but can be dialled there only
		const local = util.isPossibleNumberWithReason(back) !==
			lib.PhoneNumberUtil.ValidationResult.IS_POSSIBLE;
		console.log([region, form, local ? '' : util.format(back, Format.E164),
			util.getRegionCodeForNumber(back) || '', local ? 'unknown' : typeName(back),
			local ? 'local_only' : util.isValidNumber(back) ? 'valid' : 'possible'].join('\t'));
	});
}

console.log(`# Example numbers of google-libphonenumber ${version}, made by tools/phone-examples.js:`);
console.log('# region, written form, E.164, region of the number, type, status');
for (const region of util.getSupportedRegions().sort())
{
	for (const type of typeNumbers)
	{
		const number = util.getExampleNumberForType(region, type);

		if (number)
			print(number, region);
	}
}
for (const code of util.getSupportedGlobalNetworkCallingCodes().sort())
{
	const metadata = util.getMetadataForNonGeographicalRegion(code);

	for (const kind of ['Mobile', 'TollFree', 'SharedCost', 'Voip', 'Voicemail', 'Uan', 'PremiumRate'])
	{
		const desc = metadata['get' + kind]();

		if (desc && desc.getExampleNumber())
			print(util.parse(`+${code}${desc.getExampleNumber()}`, 'ZZ'), '001');
	}
}
