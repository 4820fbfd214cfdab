/*
 * template_words.c
 *		The words that do not belong into the confirmation of an opt-out.
 *
 * Kept to words that sell.  "Promotional" and "marketing" are not among them: a confirmation
 * may say which messages have ended.
 */
#include "template_words.h"

#include <stddef.h>

const char *const om_template_marketing[] = {
	/* English */
	"bargain", "bargains", "buy", "cashback", "clearance", "coupon", "coupons", "deal", "deals",
	"discount", "discounts", "free gift", "free gifts", "free shipping", "free trial",
	"giveaway", "half price", "limited time", "offer", "offers", "on sale", "order now", "promo",
	"promo code", "sale", "save now", "save up to", "shop now", "special price",
	/* Spanish */
	"compra ahora", "compra ya", "compre", "cupon", "cupones", "descuento", "descuentos",
	"envio gratis", "ganga", "oferta", "ofertas", "promocion", "rebaja", "rebajas",
	"regalo gratis",
	/* French; "solde" is also the balance of an account */
	"achetez", "bon plan", "bons plans", "cadeau gratuit", "code promo", "livraison gratuite",
	"offre", "offres", "promotion", "rabais", "remise", "remises", "soldes",
	/* Portuguese */
	"brinde", "brindes", "compre ja", "cupom", "cupons", "desconto", "descontos", "frete gratis",
	"liquidacao", "promocao",
	NULL
};

const char *const om_template_negations[] = {
	"any", "never", "no", "not", "without",
	"ningun", "ninguna", "nunca", "sin",
	"aucun", "aucune", "jamais", "ne", "pas", "sans",
	"nao", "nenhum", "nenhuma", "sem",
	NULL
};

const char *const om_template_currencies[] = {
	"brl", "cad", "eur", "gbp", "mxn", "usd",
	"buck", "bucks", "cent", "cents", "dollar", "dollars", "euro", "euros", "off", "percent",
	"pound", "pounds",
	"centavo", "centavos", "dolar", "dolares", "libra", "libras", "peso", "pesos",
	"centime", "centimes",
	"reais",
	NULL
};

const char *const om_template_domains[] = {
	"ai", "app", "at", "au", "be", "biz", "br", "ca", "cc", "ch", "click", "club", "co", "com",
	"de", "dev", "es", "eu", "fr", "gd", "gg", "gl", "gov", "ie", "in", "info", "io", "it",
	"link", "live", "ly", "me", "mobi", "mx", "net", "nl", "nz", "online", "org", "page", "pt",
	"shop", "site", "store", "to", "top", "tv", "uk", "us", "vip", "ws", "xyz",
	NULL
};
