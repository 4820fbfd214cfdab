#!/usr/bin/env node
// tools/phone-metadata.js DIRECTORY: prints the metadata of the npm package
// google-libphonenumber that was unpacked into DIRECTORY, as lines that tools/phone-tables
// reads.  Their fields are separated by tabs:
//   version  TEXT
//   region   ID  CALLING_CODE  MAIN  IDD  NATIONAL_PREFIX  TRANSFORM  LEADING_DIGITS  SAME
//   desc     KIND  PATTERN  LENGTHS  LOCAL_LENGTHS      (of the region above)
'use strict';

const path = require('path');

if (process.argv.length !== 3 || process.argv[2] === '--help')
{
	console.log('usage: tools/phone-metadata.js DIRECTORY >METADATA: DIRECTORY is the unpacked npm package google-libphonenumber');
	process.exit(process.argv.length === 3 ? 0 : 1);
}

const directory = path.resolve(process.argv[2]);
const lib = require(directory);
const util = lib.PhoneNumberUtil.getInstance();
const kinds = ['GeneralDesc', 'FixedLine', 'Mobile', 'TollFree', 'PremiumRate', 'SharedCost',
	'PersonalNumber', 'Voip', 'Pager', 'Uan', 'Voicemail'];

function line(...fields)
{
	console.log(fields.map(f => f === null || f === undefined ? '' : String(f)).join('\t'));
}

function region(metadata)
{
	line('region', metadata.getId(), metadata.getCountryCode(),
		metadata.getMainCountryForCode() ? 1 : 0, metadata.getInternationalPrefix(),
		metadata.getNationalPrefixForParsing(), metadata.getNationalPrefixTransformRule(),
		metadata.getLeadingDigits(), metadata.getSameMobileAndFixedLinePattern() ? 1 : 0);
	for (const kind of kinds)
	{
		const desc = metadata['get' + kind]();

		if (desc !== null)
			line('desc', kind, desc.getNationalNumberPattern(),
				desc.possibleLengthArray().join(','), desc.possibleLengthLocalOnlyArray().join(','));
	}
}

line('version', `google-libphonenumber ${require(path.join(directory, 'package.json')).version}`);
for (const id of util.getSupportedRegions().sort())
	region(util.getMetadataForRegion(id));
for (const code of util.getSupportedGlobalNetworkCallingCodes().sort())
	region(util.getMetadataForNonGeographicalRegion(code));
