/*
 * letters.h
 *		Which plain letter a character of a message stands for.
 */
#ifndef OM_LETTERS_H
#define OM_LETTERS_H

#include <stdint.h>

/* What a character can be beside a letter or digit of ASCII */
#define OM_LETTER_NONE		'\0'	/* leaves no trace: zero-width, combining, apostrophe */
#define OM_LETTER_BREAK		' '		/* ends a word: white space, punctuation, emoji */
#define OM_LETTER_OTHER		'?'		/* part of a word that is in no list */

/*
 * Fold a character to the lower-case letter or digit of ASCII that a reader sees in it:
 * case, accents, full-width, circled and mathematical letters, and the Cyrillic and Greek
 * letters that look the same.  Otherwise one of the values above.
 */
extern char om_letter_fold(uint32_t code);

#endif							/* OM_LETTERS_H */
