/*
 * phone_text.h
 *		The written form of a phone number: what is number in it and what is extension.
 *
 * The same decisions as libphonenumber's: where the number begins and ends in a text, which
 * characters it may hold, which forms of extensions there are.
 */
#ifndef OM_PHONE_TEXT_H
#define OM_PHONE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* libphonenumber (Java, JavaScript) reads no longer texts */
#define OM_PHONE_MAX_TEXT		250
#define OM_PHONE_MAX_EXTENSION	20

/* What a character is to the classification; see om_phone_char_class() */
typedef enum OmPhoneChar
{
	OM_PHONE_CHAR_OTHER,
	OM_PHONE_CHAR_DIGIT,
	OM_PHONE_CHAR_PUNCTUATION,
	OM_PHONE_CHAR_PLUS,
	OM_PHONE_CHAR_LETTER		/* of the keypad: A to Z */
} OmPhoneChar;

typedef struct OmPhoneText
{
	/* one byte for every character of the text; the number is [start, end) */
	unsigned char text[OM_PHONE_MAX_TEXT];
	size_t		text_len;
	size_t		start;
	size_t		end;
	bool		plus;			/* the number begins with one */
	size_t		letters;		/* in the number */
	size_t		len;			/* of digits */
	char		digits[OM_PHONE_MAX_TEXT];	/* of the number: ASCII, keys for letters if
											 * there are three or more */
	char		extension[OM_PHONE_MAX_EXTENSION + 1];
} OmPhoneText;

/* False when there is nothing in the text that could be a number; out is undefined then */
extern bool om_phone_text_read(const char *raw, size_t len, OmPhoneText *out);

extern OmPhoneChar om_phone_char_class(unsigned char c);

#endif							/* OM_PHONE_TEXT_H */
