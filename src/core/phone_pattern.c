/*
 * phone_pattern.c
 *		The two matchers over the generated tables (phone_tables.h).
 */
#include "phone_pattern.h"

#include "phone_tables.h"

unsigned
om_phone_label(unsigned start, const char *digits, size_t len)
{
	size_t		state = start;
	size_t		i;

	for (i = 0; i < len; i++)
	{
		state = om_phone_states[state * OM_PHONE_STATE_UNIT + (unsigned) (digits[i] - '0')];
		if (state == 0)
			return 0;
	}
	return om_phone_states[state * OM_PHONE_STATE_UNIT + OM_PHONE_STATE_LABEL];
}

/*
 * Programs go forward only, so that this ends; how deep it calls itself is the number of
 * choices on one way through a program, some dozens.
 */
static int
run(const uint16_t *op, const char *digits, size_t pos, size_t len, OmPhoneGroups *groups)
{
	for (;;)
	{
		unsigned	argument = *op & 0x0fff;

		switch (*op & 0xf000)
		{
			case OM_PHONE_OP_SET:
				if (pos == len || (argument >> (digits[pos] - '0') & 1) == 0)
					return -1;
				pos++;
				op++;
				break;
			case OM_PHONE_OP_SPLIT:
				{
					OmPhoneGroups before = *groups;
					int			matched = run(op + 1, digits, pos, len, groups);

					if (matched >= 0)
						return matched;
					*groups = before;
					op += argument;
				}
				break;
			case OM_PHONE_OP_JUMP:
				op += argument;
				break;
			case OM_PHONE_OP_SAVE:
				if (argument % 2 == 0)
					groups->start[argument / 2 - 1] = (uint16_t) pos;
				else
					groups->end[argument / 2 - 1] = (uint16_t) pos;
				op++;
				break;
			case OM_PHONE_OP_END:
				if (pos != len)
					return -1;
				op++;
				break;
			default:
				return (int) pos;
		}
	}
}

int
om_phone_match(unsigned program, const char *digits, size_t len, OmPhoneGroups *groups)
{
	*groups = (OmPhoneGroups) {{0, 0}, {0, 0}};
	return run(om_phone_programs + program, digits, 0, len, groups);
}
