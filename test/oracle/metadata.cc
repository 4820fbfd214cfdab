/*
 * metadata.cc
 *		Prints the metadata that Debian's libphonenumber carries, as lines that
 *		tools/phone-tables reads (tools/phone-metadata.js says which).
 *
 * The library exports its metadata as bytes without a header that declares them.
 */
#include <cstdio>
#include <string>

#include <phonenumbers/phonemetadata.pb.h>

namespace i18n
{
namespace phonenumbers
{
int			metadata_size();
const void *metadata_get();
}
}

using namespace i18n::phonenumbers;

template <typename List>
static std::string
join(const List &list)
{
	std::string out;

	for (int length : list)
		out += (out.empty() ? "" : ",") + std::to_string(length);
	return out;
}

static void
desc(const char *kind, const PhoneNumberDesc &d)
{
	printf("desc\t%s\t%s\t%s\t%s\n", kind, d.national_number_pattern().c_str(),
		   join(d.possible_length()).c_str(), join(d.possible_length_local_only()).c_str());
}

int
main()
{
	PhoneMetadataCollection collection;

	if (!collection.ParseFromArray(metadata_get(), metadata_size()))
	{
		fprintf(stderr, "metadata: the library's metadata cannot be read\n");
		return 1;
	}
	printf("version\tlibphonenumber of Debian\n");
	for (const PhoneMetadata &m : collection.metadata())
	{
		printf("region\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%d\n", m.id().c_str(), m.country_code(),
			   m.main_country_for_code(), m.international_prefix().c_str(),
			   m.national_prefix_for_parsing().c_str(),
			   m.national_prefix_transform_rule().c_str(), m.leading_digits().c_str(),
			   m.same_mobile_and_fixed_line_pattern());
		desc("GeneralDesc", m.general_desc());
		desc("FixedLine", m.fixed_line());
		desc("Mobile", m.mobile());
		desc("TollFree", m.toll_free());
		desc("PremiumRate", m.premium_rate());
		desc("SharedCost", m.shared_cost());
		desc("PersonalNumber", m.personal_number());
		desc("Voip", m.voip());
		desc("Pager", m.pager());
		desc("Uan", m.uan());
		desc("Voicemail", m.voicemail());
	}
	return 0;
}
