/*
 * phone_codes.c
 *		What the phone number reader knows about the countries of the world.
 *
 * Calling codes in use (ITU-T E.164, list of assigned country codes).  Codes that are
 * merely reserved are left out: nobody can be reached there.
 */
#include "phone_codes.h"

#include <string.h>

/* In the order of their digits */
static const OmPhoneCode codes[] = {
	{"1", "", false}, {"20", "EG", true}, {"211", "SS", false},
	{"212", "", true}, {"213", "DZ", true}, {"216", "TN", false},
	{"218", "LY", true}, {"220", "GM", false}, {"221", "SN", false},
	{"222", "MR", false}, {"223", "ML", false}, {"224", "GN", false},
	{"225", "CI", false}, {"226", "BF", false}, {"227", "NE", false},
	{"228", "TG", false}, {"229", "BJ", false}, {"230", "MU", false},
	{"231", "LR", false}, {"232", "SL", false}, {"233", "GH", true},
	{"234", "NG", true}, {"235", "TD", false}, {"236", "CF", false},
	{"237", "CM", false}, {"238", "CV", false}, {"239", "ST", false},
	{"240", "GQ", false}, {"241", "GA", false}, {"242", "CG", false},
	{"243", "CD", false}, {"244", "AO", false}, {"245", "GW", false},
	{"246", "IO", false}, {"247", "AC", false}, {"248", "SC", false},
	{"249", "SD", true}, {"250", "RW", true}, {"251", "ET", true},
	{"252", "SO", false}, {"253", "DJ", false}, {"254", "KE", true},
	{"255", "TZ", true}, {"256", "UG", true}, {"257", "BI", false},
	{"258", "MZ", false}, {"260", "ZM", true}, {"261", "MG", false},
	{"262", "", false}, {"263", "ZW", true}, {"264", "NA", false},
	{"265", "MW", false}, {"266", "LS", false}, {"267", "BW", false},
	{"268", "SZ", false}, {"269", "KM", false}, {"27", "ZA", true},
	{"290", "", false}, {"291", "ER", false}, {"297", "AW", false},
	{"298", "FO", false}, {"299", "GL", false}, {"30", "GR", false},
	{"31", "NL", true}, {"32", "BE", true}, {"33", "FR", true},
	{"34", "ES", false}, {"350", "GI", false}, {"351", "PT", false},
	{"352", "LU", false}, {"353", "IE", true}, {"354", "IS", false},
	{"355", "AL", true}, {"356", "MT", false}, {"357", "CY", false},
	{"358", "", true}, {"359", "BG", true}, {"36", "HU", false},
	{"370", "LT", false}, {"371", "LV", false}, {"372", "EE", false},
	{"373", "MD", true}, {"374", "AM", true}, {"375", "BY", false},
	{"376", "AD", false}, {"377", "MC", false}, {"378", "SM", false},
	{"379", "VA", false}, {"380", "UA", true}, {"381", "RS", true},
	{"382", "ME", false}, {"383", "XK", false}, {"385", "HR", true},
	{"386", "SI", true}, {"387", "BA", true}, {"389", "MK", true},
	{"39", "", false}, {"40", "RO", true}, {"41", "CH", true},
	{"420", "CZ", false}, {"421", "SK", true}, {"423", "LI", false},
	{"43", "AT", true}, {"44", "", true}, {"45", "DK", false},
	{"46", "SE", true}, {"47", "", false}, {"48", "PL", false},
	{"49", "DE", true}, {"500", "FK", false}, {"501", "BZ", false},
	{"502", "GT", false}, {"503", "SV", false}, {"504", "HN", false},
	{"505", "NI", false}, {"506", "CR", false}, {"507", "PA", false},
	{"508", "PM", false}, {"509", "HT", false}, {"51", "PE", true},
	{"52", "MX", false}, {"53", "CU", false}, {"54", "AR", false},
	{"55", "BR", false}, {"56", "CL", false}, {"57", "CO", false},
	{"58", "VE", false}, {"590", "", false}, {"591", "BO", false},
	{"592", "GY", false}, {"593", "EC", true}, {"594", "GF", false},
	{"595", "PY", true}, {"596", "MQ", false}, {"597", "SR", false},
	{"598", "UY", false}, {"599", "", false}, {"60", "MY", false},
	{"61", "", true}, {"62", "ID", true}, {"63", "PH", true},
	{"64", "NZ", true}, {"65", "SG", false}, {"66", "TH", true},
	{"670", "TL", false}, {"672", "NF", false}, {"673", "BN", false},
	{"674", "NR", false}, {"675", "PG", false}, {"676", "TO", false},
	{"677", "SB", false}, {"678", "VU", false}, {"679", "FJ", false},
	{"680", "PW", false}, {"681", "WF", false}, {"682", "CK", false},
	{"683", "NU", false}, {"685", "WS", false}, {"686", "KI", false},
	{"687", "NC", false}, {"688", "TV", false}, {"689", "PF", false},
	{"690", "TK", false}, {"691", "FM", false}, {"692", "MH", false},
	{"7", "", false}, {"800", "001", false}, {"808", "001", false},
	{"81", "JP", true}, {"82", "KR", true}, {"84", "VN", true},
	{"850", "KP", false}, {"852", "HK", false}, {"853", "MO", false},
	{"855", "KH", true}, {"856", "LA", false}, {"86", "CN", true},
	{"870", "001", false}, {"878", "001", false}, {"880", "BD", true},
	{"881", "001", false}, {"882", "001", false}, {"883", "001", false},
	{"886", "TW", true}, {"888", "001", false}, {"90", "TR", true},
	{"91", "IN", true}, {"92", "PK", true}, {"93", "AF", true},
	{"94", "LK", true}, {"95", "MM", true}, {"960", "MV", false},
	{"961", "LB", true}, {"962", "JO", true}, {"963", "SY", true},
	{"964", "IQ", true}, {"965", "KW", false}, {"966", "SA", true},
	{"967", "YE", true}, {"968", "OM", false}, {"970", "PS", false},
	{"971", "AE", true}, {"972", "IL", true}, {"973", "BH", false},
	{"974", "QA", false}, {"975", "BT", false}, {"976", "MN", false},
	{"977", "NP", true}, {"979", "001", false}, {"98", "IR", true},
	{"992", "TJ", false}, {"993", "TM", false}, {"994", "AZ", true},
	{"995", "GE", true}, {"996", "KG", true}, {"998", "UZ", false}
};

/* Regions of calling code 1 (NANPA, countries of the plan) */
static const char nanp_regions[] =
"AG AI AS BB BM BS CA DM DO GD GU JM KN KY LC MP MS PR SX TC TT US VC VG VI";

/*
 * Regions that dial something else than 00 before an international number, where 00
 * followed by digits means nothing or another call.
 */
static const char other_prefix_regions[] =
"AU BR BY CC CL CO CU CX FM GY HK ID JP KE KH KR KZ MH MN NG PW RU SG TH TJ TM TW TZ UG "
"UZ WS";

const OmPhoneCode *
om_phone_code_find(const char *digits, size_t n)
{
	size_t		i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
	{
		size_t		len = strlen(codes[i].digits);

		if (len <= n && memcmp(codes[i].digits, digits, len) == 0)
			return &codes[i];
	}
	return NULL;
}

/* Is a region of two letters in a list of such? */
static bool
is_listed(const char *list, const char *region)
{
	const char *entry;

	if (strlen(region) != 2)
		return false;
	for (entry = list;; entry += 3)
	{
		if (entry[0] == region[0] && entry[1] == region[1])
			return true;
		if (entry[2] == '\0')
			return false;
	}
}

bool
om_phone_region_is_nanp(const char *region)
{
	return is_listed(nanp_regions, region);
}

bool
om_phone_region_dials_00(const char *region)
{
	return strlen(region) == 2 && !om_phone_region_is_nanp(region) &&
		!is_listed(other_prefix_regions, region);
}
