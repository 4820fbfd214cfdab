/*
 * template_words.h
 *		The words that do not belong into the confirmation of an opt-out.
 */
#ifndef OM_TEMPLATE_WORDS_H
#define OM_TEMPLATE_WORDS_H

/* The most words in one entry, and the most letters in one word */
#define OM_TEMPLATE_PHRASE_WORDS	3
#define OM_TEMPLATE_WORD_LETTERS	15

/* All end with a NULL; folded by om_letter_fold, with single blanks between words. */
extern const char *const om_template_marketing[];

/* After one of these a sentence says what there is not */
extern const char *const om_template_negations[];

/* What makes the number beside it a price or a discount */
extern const char *const om_template_currencies[];

/* Last parts of domain names that people know without "www" and without a path */
extern const char *const om_template_domains[];

#endif							/* OM_TEMPLATE_WORDS_H */
